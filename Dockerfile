# Two images: `server` (radiographd and the command line, no LibTorch) and `worker` (radiograph-worker and
# radiograph-compute). deploy/README.md says how to build and run them; deploy/image-test does both.
ARG BASE=debian:bookworm-slim
FROM $BASE AS build
ARG TORCH=cpu
WORKDIR /src
COPY . .
# What was fetched and compiled once serves the next build. The Debian packages that the images need are asked
# of the programs: the list can't go stale.
RUN --mount=type=cache,id=radiograph-venv,target=/src/.venv \
  --mount=type=cache,id=radiograph-ccache,target=/root/.cache/ccache \
  deploy/set-up --torch=$TORCH && ninja -C build programs && deploy/image-files /image

FROM $BASE AS base
RUN useradd --uid 10001 --create-home --home-dir /var/lib/radiograph radiograph && chmod 700 /var/lib/radiograph
VOLUME /var/lib/radiograph
STOPSIGNAL SIGTERM

FROM base AS server
COPY --from=build /image/server/packages /tmp/packages
RUN apt-get update && xargs apt-get install -y --no-install-recommends < /tmp/packages && rm -rf /var/lib/apt/lists/*
COPY --from=build /image/server/bin /usr/bin
USER 10001
# Reached from outside the container: that needs TLS and tokens, or --insecure from whoever knows that the network
# is safe.
ENV RADIOGRAPH_LISTEN=0.0.0.0:7433 RADIOGRAPH_HTTP=0.0.0.0:7434 RADIOGRAPH_STATE=/var/lib/radiograph
EXPOSE 7433 7434
# Ready, asked without TLS and then with.
HEALTHCHECK --interval=10s --timeout=3s CMD bash -c ' \
  ask() { printf "GET /readyz HTTP/1.0\r\n\r\n"; }; ready() { grep -q "^HTTP/1.[01] 200"; }; \
  { exec 3<>/dev/tcp/127.0.0.1/7434 && ask >&3 && ready <&3; } || \
  ask | openssl s_client -quiet -connect 127.0.0.1:7434 2>/dev/null | ready'
ENTRYPOINT ["radiographd", "--devices=none"]

FROM base AS worker
COPY --from=build /image/worker/packages /tmp/packages
RUN apt-get update && xargs apt-get install -y --no-install-recommends < /tmp/packages && rm -rf /var/lib/apt/lists/*
COPY --from=build /image/worker/lib /opt/libtorch/lib
COPY --from=build /image/worker/bin /usr/bin
ENV LD_LIBRARY_PATH=/opt/libtorch/lib RADIOGRAPH_STATE=/var/lib/radiograph
USER 10001
# Healthy: a compute process is up.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD grep -qs radiograph-comp /proc/[0-9]*/comm
ENTRYPOINT ["radiograph-worker"]
