"""The edge: everything that can fail for reasons that are not ours. Turns API objects into facts."""
