#!/bin/sh
# Runs once, when the database server starts on an empty volume.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --command 'CREATE DATABASE iceberg'
