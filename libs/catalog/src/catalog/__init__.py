"""The bundle: typed models, YAML loading, static checks, digest."""
