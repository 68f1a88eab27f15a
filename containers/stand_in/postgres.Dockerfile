# PostgreSQL of the same major version as in compose.yaml, from Debian's package; only for containers/check.sh.
FROM docker.io/library/python:3.13-slim-trixie
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql-17
RUN install --directory --owner=postgres --group=postgres /var/lib/postgresql/data
COPY postgres.sh /entrypoint.sh
VOLUME /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/17/bin:$PATH
ENTRYPOINT ["/entrypoint.sh"]
