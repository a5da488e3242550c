"""Pages of pools, volumes, images and uploads."""
