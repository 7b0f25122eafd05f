"""What a gateway elsewhere tells of its sessions, agents, models and usage, and what it can be asked to do with them.

Every call takes a connected client and awaits `client.request`; what comes back is read leniently, as real gateways
send keys that no schema has, and leave out others. RequestError is the gateway's own refusal.
"""
