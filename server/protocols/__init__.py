"""The protocols of other servers' clients: each decodes to rows of the one predictor, and writes its answer."""
