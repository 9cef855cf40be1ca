"""The HTTP half: the contract of TGI's router. It knows nothing of models.

What answers stands behind one protocol, `infra.tgi.engine.Engine`.
"""
