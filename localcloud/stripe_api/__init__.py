"""A laptop's Stripe: stateful, with a clock of its own and signed events, for the demo and the tests only.

Time, cards, outages and the delivery of events are moved by the knobs below ``/_test``.
"""
