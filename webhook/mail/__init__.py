"""E-mail to customers: what is written, and how it is sent."""
