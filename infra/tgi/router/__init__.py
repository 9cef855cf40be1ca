"""The HTTP half: the contract of TGI's router. It knows nothing of models.

What answers is behind one protocol, `infra.tgi.engine.Engine`.
"""
