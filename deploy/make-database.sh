#!/bin/sh
# Patroni runs this once in the life of the cluster, on its first leader, with the superuser's URL: the role that owns
# carryover's database (no superuser, so that row-level security holds for it), the database, and the vector extension,
# which only a superuser may create.
set -eu
: "${CARRYOVER_PASSWORD:?the password of the role carryover}"
psql "$1" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$CARRYOVER_PASSWORD" <<'SQL'
CREATE ROLE carryover LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE carryover OWNER carryover TEMPLATE template0 ENCODING 'UTF8';
\connect carryover
CREATE EXTENSION vector;
SQL
