"""Where a bundle comes from, if not from a folder: fetched, unpacked, cached, and held to its digest."""
