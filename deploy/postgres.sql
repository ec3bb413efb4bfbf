-- Dagster's database, beside the one of the history, which the server's image makes.
CREATE DATABASE dagster;
