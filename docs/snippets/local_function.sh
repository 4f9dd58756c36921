# Runs the function `ingest` alone. The settings come from the environment, for example the exports of `sluice up`.
export PATH=$PWD/.venv/bin:$PATH PYTHONPATH=$PWD
functions-framework --target ingest --source functions/ingest/main.py --port "${PORT:-8080}"
