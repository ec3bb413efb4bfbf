"""mediajobs on Dagster. The only folder that imports Dagster; it translates, and holds no logic of its own."""
