"""What answers prompts: engines behind the protocol `infra.tgi.engine.Engine`.

They know nothing of HTTP, limits or queues.
"""
