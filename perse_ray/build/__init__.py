"""One build, from a portrait to a registered avatar: its stages, their order, their manifests, their plan."""
