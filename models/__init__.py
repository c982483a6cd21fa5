"""Pictures and networks: trains autoencoders, keeps them, measures them. Knows no HTTP."""
