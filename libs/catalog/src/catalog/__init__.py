"""The bundle: typed models, YAML loading, static checks, digest, rendering. No service is imported here."""
