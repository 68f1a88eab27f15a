#!/usr/bin/env bash
# Builds both images and runs compose.yaml in real containers, on a Debian machine without Docker and without a registry
# of images: the engine is podman from Debian's packages, and the two base images are stand-ins made by debootstrap.
#   containers/check.sh [FOLDER]     as root; FOLDER (30 GB, /var/tmp/lossopt_containers) keeps the layers for next time
# What this shows and what it does not: docs/containers.md.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$(realpath --canonicalize-missing "${1:-/var/tmp/lossopt_containers}")
SUITE=trixie
PORT=5077
TRAIN=localhost/lossopt-train
# Docker, unlike podman, mounts nothing writable into a read-only container.
CONFINED=(--init --read-only --read-only-tmpfs=false --cap-drop=ALL --security-opt=no-new-privileges)
DIGITS=(fit --config adam --config digits --threads 1)

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
train() { podman run --rm --network=none "${CONFINED[@]}" "$@"; }
# podman says at every step that it finds no systemd; podman-compose asks for services that were never started.
compose() {
  cd "$ROOT"
  "$WORK/venv/bin/podman-compose" --in-pod=false --profile=train "$@" \
    2> >(grep -v 'systemd\|syslog\|no container with name' >&2)
}

install_tools() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
    podman buildah runc netavark aardvark-dns catatonit debootstrap python3-venv curl >/dev/null
  [ -d "$WORK/venv" ] || python3 -m venv "$WORK/venv"
  "$WORK/venv/bin/pip" install --quiet podman-compose
}

configure_engine() {
  # runc runs where control groups are of version 1. The limits are this shell's: raising them needs a capability that
  # a virtual machine's root may lack.
  cat >"$WORK/containers.conf" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:$(ulimit -Hn)", "nproc=4096:4096"]
[network]
network_backend = "netavark"
END
  cat >"$WORK/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$WORK/storage/root"
runroot = "$WORK/storage/run"
END
  export CONTAINERS_CONF=$WORK/containers.conf CONTAINERS_STORAGE_CONF=$WORK/storage.conf
}

build() {
  # This machine's certificates and pip settings, for the time of the build only.
  local mounts=(-v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro)
  [ ! -f /etc/pip.conf ] || mounts+=(-v /etc/pip.conf:/etc/pip.conf:ro)
  podman build --quiet --layers --pull=never --network=host "${mounts[@]}" "$@"
}

stand_in_bases() {
  local base
  base=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' "$ROOT/Dockerfile")
  case $base in *"$SUITE") ;; *) fail "the base $base is not of Debian $SUITE" ;; esac
  if ! podman image exists "$base"; then
    rm -rf "$WORK/debian"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$SUITE" "$WORK/debian" \
      >"$WORK/debootstrap.log"
    tar -C "$WORK/debian" -c . | podman import - "$base"
    rm -rf "$WORK/debian"
  fi
  build -t docker.io/library/postgres:17-trixie -f postgres.Dockerfile "$ROOT/containers/stand_in"
}

check_the_image() {
  say "the image: as lossopt, nothing left in /work, help"
  [ "$(train --entrypoint=id "$TRAIN" -un)" = lossopt ] || fail "not the user lossopt"
  [ -z "$(train --entrypoint=ls "$TRAIN" -A /work)" ] || fail "the build left files in /work"
  train "$TRAIN" >"$WORK/help.log"
  grep -q '^Usage: ' "$WORK/help.log" || fail "no help"

  say "a run with a read-only root, without network and capabilities, on a named volume"
  podman volume rm --force check-runs >/dev/null
  train -v check-runs:/work "$TRAIN" "${DIGITS[@]}" --trainer.max_epochs=1
  local written
  written=$(train -v check-runs:/work --entrypoint=ls "$TRAIN" -A /work | xargs)
  [ "$written" = ".cache mlflow.db mlflow.db.lock mlruns" ] || fail "what was written: $written"

  say "the same as a uid without a name, on a folder of its own"
  rm -rf "$WORK/own" && mkdir "$WORK/own" && chown 12345:12345 "$WORK/own"
  train --user=12345:12345 --unsetenv=USER -v "$WORK/own:/work" "$TRAIN" "${DIGITS[@]}" --trainer.max_epochs=1
  [ -f "$(echo "$WORK"/own/mlruns/lit_lossopt/*/artifacts/config.yaml)" ] || fail "no artifact in the folder"

  say "a folder that may not be written: one line"
  mkdir -p "$WORK/foreign"
  ! train -v "$WORK/foreign:/work" "$TRAIN" "${DIGITS[@]}" >"$WORK/foreign.log" 2>&1 || fail "it trained"
  cat "$WORK/foreign.log"
  [ "$(wc -l <"$WORK/foreign.log")" = 1 ] || fail "not one line"
}

healthy() {
  # Without systemd podman runs no health checks by itself.
  for _ in $(seq 60); do podman healthcheck run "$1" >/dev/null 2>&1 && return; sleep 2; done
  podman logs "$1" 2>&1 | tail -20
  fail "$1 does not become healthy"
}

start_services() {
  compose up -d --no-deps db
  healthy lossopt_db_1
  compose up -d --no-deps mlflow
  healthy lossopt_mlflow_1
}

train_with_server() { compose run --rm --no-deps -T "$@"; }

# The runs in the server, oldest first, have ended as $@ says, each with its values and artifacts.
arrived() {
  train_with_server --entrypoint=python train -c '
import sys
from mlflow import MlflowClient
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_history, read_runs

runs = read_runs(names.EXPERIMENT)
for run in runs:
    evaluations = read_history(run.run_id, "val/accuracy").steps
    artifacts = {file.path for file in MlflowClient().list_artifacts(run.run_id)}
    checkpoints = [file.path for file in MlflowClient().list_artifacts(run.run_id, names.CHECKPOINT_FOLDER)]
    print(run.name, run.status, evaluations[:6], sorted(artifacts), checkpoints)
    assert len(evaluations) == 6 if run.status == "FINISHED" else len(evaluations) > 1
    assert "config.yaml" in artifacts and checkpoints
assert [run.status for run in runs] == sys.argv[1:]
' "$@"
}

check_sigterm() {
  say "SIGTERM ends a run with 143"
  podman rm --force check-sigterm >/dev/null 2>&1 || true
  podman run -d --name=check-sigterm --network=lossopt_tracking -e MLFLOW_TRACKING_URI=http://mlflow:5000 \
    "${CONFINED[@]}" "$TRAIN" "${DIGITS[@]}" --trainer.max_epochs=10000 >/dev/null
  for _ in $(seq 60); do podman logs check-sigterm 2>&1 | grep -q '^epoch 2/' && break; sleep 1; done
  podman stop --time=60 check-sigterm >/dev/null
  local status
  status=$(podman inspect --format='{{.State.ExitCode}}' check-sigterm)
  podman rm check-sigterm >/dev/null
  [ "$status" = 143 ] || fail "exit status $status"
}

status_for() {
  curl --silent --output /dev/null --write-out '%{http_code}' --header "Host: $1" "http://127.0.0.1:$PORT/"
}

check_refusals() {
  say "what is refused: another name for the server, the database to training, the password to a reader of logs"
  [ "$(status_for evil.example)" = 403 ] || fail "the server answers to any name"
  [ "$(status_for localhost:$PORT)" = 200 ] || fail "the server does not answer to localhost"
  ! train_with_server --entrypoint=python train -c "import socket; socket.create_connection(('db', 5432), 5)" \
    >"$WORK/db.log" 2>&1 || fail "training reaches the database"
  grep -q "Name or service not known" "$WORK/db.log" || fail "training was stopped by something else: $WORK/db.log"
  podman logs lossopt_mlflow_1 >"$WORK/server.log" 2>&1
  podman top lossopt_mlflow_1 args >>"$WORK/server.log"
  ! grep -q "$POSTGRES_PASSWORD" "$WORK/server.log" || fail "the password shows"
}

check_compose() {
  export MLFLOW_PORT=$PORT
  say "compose refuses to start without a password"
  ! (unset POSTGRES_PASSWORD && compose config) >"$WORK/config.log" 2>&1 || fail "it started"
  grep -q "choose one in a file .env" "$WORK/config.log" || fail "it does not say what to do"
  export POSTGRES_PASSWORD=check-$RANDOM$RANDOM
  compose down --volumes >/dev/null 2>&1 || true
  trap 'compose down --volumes >/dev/null 2>&1' EXIT
  say "compose: database, MLflow server, a run"
  start_services
  train_with_server train "${DIGITS[@]}" --trainer.max_epochs=5
  say "what arrived"
  arrived FINISHED
  check_sigterm
  check_refusals
  say "the runs are still there after everything was stopped and started"
  compose down
  start_services
  arrived FINISHED KILLED
}

mkdir -p "$WORK"
say "tools, engine, stand-ins for the base images"
install_tools
configure_engine
stand_in_bases
say "images"
build --target=server -t lossopt-server "$ROOT"
build --target=train -t lossopt-train "$ROOT"
check_the_image
check_compose
say "all held"
