# The harness with ONNX Runtime and the native decoder; docs/how-to/container.md says how to run it.
FROM python:3.12-slim-bookworm AS build
# the compiler is the one that the base image's release has
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
COPY --from=build /wheels /wheels
# the extensions are optional where a harness is installed; an image without them would be a slow one that says nothing
RUN pip install --no-cache-dir /wheels/*.whl \
    && python -c "from harness.native import _decode, _pipeline" \
    && rm -rf /wheels \
    && useradd --uid 1000 --create-home bench \
    && mkdir --parents /work/results /cache \
    && chown --recursive bench /work /cache
ENV SSD_HARNESS_CACHE=/cache
USER 1000
WORKDIR /work
ENTRYPOINT ["ssd-harness"]
CMD ["run"]
