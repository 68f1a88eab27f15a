"""A proxy in front of a real MLflow store that misbehaves on command: a process, on a loopback port.

``serve`` answers MLflow's REST calls from a store, in the mood that a file holds, which may change at any time:

    fine            answers
    errors          500 to everything
    hang            takes the request and never answers
    reset           closes the connection without an answer
    lose-create     makes the run, and closes the connection without an answer; then is fine
    slow            answers after two seconds
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.tracking import MlflowClient


class Calls:
    """The few REST calls that a run needs, answered by MLflow's own client on a local store."""

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.client = MlflowClient(uri)
        self.artifacts = artifacts
        self.lock = threading.Lock()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a call."""
        name = path.removeprefix("/api/2.0/mlflow/").replace("/", "_").replace("-", "_")
        with self.lock:
            result: dict[str, Any] = getattr(self, name)(body)
        return result

    def experiments_search(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"experiments": []}

    def experiments_get_by_name(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.client.get_experiment_by_name(body["experiment_name"])
        if found is None:
            raise MlflowException("no such experiment", RESOURCE_DOES_NOT_EXIST)
        return {
            "experiment": {
                "experiment_id": found.experiment_id,
                "name": found.name,
                "artifact_location": found.artifact_location,
                "lifecycle_stage": found.lifecycle_stage,
            }
        }

    def experiments_create(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"experiment_id": self.client.create_experiment(body["name"], self.artifacts.as_uri())}

    def runs_search(self, body: dict[str, Any]) -> dict[str, Any]:
        runs = self.client.search_runs(body["experiment_ids"], body.get("filter", ""))
        return {"runs": [self._run(run.info.run_id) for run in runs]}

    def runs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        tags = {tag["key"]: tag["value"] for tag in body.get("tags", [])}
        run = self.client.create_run(body["experiment_id"], body.get("start_time"), tags, body.get("run_name"))
        return {"run": self._run(run.info.run_id)}

    def runs_get(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"run": self._run(body["run_id"])}

    def runs_update(self, body: dict[str, Any]) -> dict[str, Any]:
        status = body["status"]
        self.client.set_terminated(body["run_id"], status if isinstance(status, str) else RunStatus.to_string(status))
        return {"run_info": self._run(body["run_id"])["info"]}

    def runs_log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        metrics = [
            Metric(m["key"], float(m["value"]), int(m["timestamp"]), int(m.get("step", 0)))
            for m in body.get("metrics", [])
        ]
        params = [Param(p["key"], p["value"]) for p in body.get("params", [])]
        tags = [RunTag(t["key"], t["value"]) for t in body.get("tags", [])]
        self.client.log_batch(body["run_id"], metrics=metrics, params=params, tags=tags)
        return {}

    def metrics_get_history(self, body: dict[str, Any]) -> dict[str, Any]:
        points = self.client.get_metric_history(body["run_id"], body["metric_key"])
        return {"metrics": [{"key": p.key, "value": p.value, "timestamp": p.timestamp, "step": p.step} for p in points]}

    def _run(self, run_id: str) -> dict[str, Any]:
        run = self.client.get_run(run_id)
        info = run.info
        return {
            "info": {
                "run_id": run_id,
                "run_uuid": run_id,
                "run_name": info.run_name,
                "experiment_id": info.experiment_id,
                "status": info.status,
                "start_time": info.start_time,
                "artifact_uri": info.artifact_uri,
                "lifecycle_stage": info.lifecycle_stage,
            },
            "data": {
                "metrics": [
                    {"key": name, "value": value, "timestamp": 0, "step": 0} for name, value in run.data.metrics.items()
                ],
                "params": [{"key": name, "value": value} for name, value in run.data.params.items()],
                "tags": [{"key": name, "value": value} for name, value in run.data.tags.items()],
            },
        }


class Handler(BaseHTTPRequestHandler):
    """One request, in the mood of the moment."""

    calls: Calls
    mood: Path

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._handle(parts.path, dict(parse_qsl(parts.query)))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._handle(urlsplit(self.path).path, json.loads(self.rfile.read(length) or b"{}"))

    def do_PATCH(self) -> None:
        self.do_POST()

    def _handle(self, path: str, body: dict[str, Any]) -> None:
        mood = self.mood.read_text(encoding="utf-8").strip()
        if mood == "hang":
            time.sleep(3600)
        if mood == "reset" or (mood == "lose-create" and path.endswith("runs/create")):
            if mood == "lose-create":
                self.calls.answer(path, body)
                self.mood.write_text("fine", encoding="utf-8")
            self.close_connection = True
            self.connection.close()
            return
        if mood == "slow":
            time.sleep(2)
        if mood == "errors":
            self._reply(500, {"error_code": "INTERNAL_ERROR", "message": "out of order"})
            return
        try:
            self._reply(200, self.calls.answer(path, body))
        except MlflowException as error:
            self._reply(
                404 if error.error_code == "RESOURCE_DOES_NOT_EXIST" else 400,
                {"error_code": error.error_code, "message": str(error)},
            )

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


def serve(uri: str, port: int, mood: str) -> int:
    """Serve until killed; print the port, which is chosen where none is given. Called through the zygote."""
    Handler.mood = Path(mood)
    Handler.calls = Calls(uri, Handler.mood.parent / "artifacts")
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()
    return 0
