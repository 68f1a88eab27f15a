# Two images: `train` (the last, so the default) runs lossopt; `server` runs MLflow on PostgreSQL. See docs/containers.md.
FROM docker.io/library/python:3.13-slim-trixie AS base
# Bytecode is compiled when pip installs.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MLFLOW_DISABLE_TELEMETRY=true
RUN python3 -m venv /opt/venv \
    && useradd --uid 1000 --user-group --home-dir /work --no-create-home --shell /usr/sbin/nologin lossopt \
    && install --directory --owner=lossopt --group=lossopt /work

FROM base AS wheel
COPY pyproject.toml README.md LICENSE /src/
COPY lit_lossopt /src/lit_lossopt
COPY configs /src/configs
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel /src
RUN python3 -c "import tomllib; project = tomllib.load(open('/src/pyproject.toml', 'rb'))['project']; \
    print(*project['dependencies'], *project['optional-dependencies']['optimizers'], sep='\n')" > /wheel/requirements.txt

FROM base AS server
# The same bound on mlflow as in pyproject.toml, which also brings torch.
RUN pip install --no-cache-dir "mlflow>=3.17,<4" "psycopg2-binary>=2.9,<3"
# No jobs, no gateway: what the server does for others is keeping runs.
ENV MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ENABLE_AI_GATEWAY=false
ENV HOME=/work TMPDIR=/work USER=lossopt
WORKDIR /work
VOLUME /work
USER lossopt
ENTRYPOINT ["mlflow"]
CMD ["server", "--help"]

FROM base AS train
# torch and the rest in a layer of their own, which stays while the requirements do.
COPY --from=wheel /wheel/requirements.txt /opt/requirements.txt
RUN pip install --no-cache-dir --requirement /opt/requirements.txt
COPY --from=wheel /wheel/*.whl /opt/wheel/
RUN pip install --no-cache-dir --no-deps /opt/wheel/*.whl
# Everything that is written goes to /work, so the rest can be read-only. USER is for a uid without an entry in passwd.
ENV HOME=/work TMPDIR=/work USER=lossopt \
    MPLCONFIGDIR=/work/.cache/matplotlib TORCHINDUCTOR_CACHE_DIR=/work/.cache/torchinductor
WORKDIR /work
VOLUME /work
USER lossopt
ENTRYPOINT ["python", "-m", "lit_lossopt"]
CMD ["--help"]
