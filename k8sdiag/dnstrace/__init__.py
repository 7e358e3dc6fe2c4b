"""Lookups traced: what a resolver sends under assumptions, and on a network. Pure.

Who asks the network is given. Its answers drive the model, so that a live walk is what this
resolver would do there.
"""
