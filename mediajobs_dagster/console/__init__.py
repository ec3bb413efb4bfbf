"""What browsers and programs reach at one address: the HTTP API, the pages, and Dagster's UI behind them."""
