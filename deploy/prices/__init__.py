"""Makes the tables of prices and of models' ends, at release, from what two packages publish."""
