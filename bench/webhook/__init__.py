"""How fast the webhook takes an event in, beside an empty Flask route on the same server.

The limits: the event is durable before the 200, its median is at most twice an empty route's, and 99 of 100 are
answered within 25 ms while an update runs. That is measured at a steady rate, of more events than hundreds of
customers cause. As fast as they are answered, on eight connections, they wait for one another: those rows tell how
much the service can take.
"""
