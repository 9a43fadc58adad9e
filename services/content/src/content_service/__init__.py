"""The content service: bundles and their rendering."""
