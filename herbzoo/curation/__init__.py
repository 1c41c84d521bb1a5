"""Work on a collection with a model: names that are doubtful, species that are unknown."""
