"""Values framed by a schema registry, in the way of Confluent's clients; off unless configured.

The official client (`confluent-kafka[schemaregistry]`, the extra `registry`) asks the registry and
does the bytes; nothing of it is imported before a registry is configured and used.
"""
