"""The base of every image built on this machine, made from Debian packages where no image can be pulled."""
