"""Real processes for the end-to-end tests, the demo and the benchmark: hubs, sinks, sources, Postfix.

Everything lives in one folder given by the caller, listens on loopback ports that were free a moment ago, and is ended by
the process ids that were started here. Python 3.11 with its standard library is all it needs.
"""
