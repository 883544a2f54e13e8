# The server with a Redis of its own to supervise. Everything it keeps is in /data.
#
#   docker build -t sluice .
#   docker run -p 8080:8080 -v sluice:/data sluice

FROM node:20-bookworm-slim AS console
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --silent
COPY openapi/openapi.json ../openapi/
COPY web .
RUN npm run --silent build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=console /src/web/dist web/dist
# Without cgo the program needs nothing from the image below it.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/sluice .

FROM debian:12-slim
# tini is process 1: it passes signals on and buries what a Redis that died leaves behind.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates redis-server tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin sluice \
    && install -d -o sluice -g sluice -m 0700 /data
COPY --from=build /out/sluice /usr/local/bin/sluice
COPY LICENSE /usr/share/doc/sluice/LICENSE

# A number and not a name, so that Kubernetes can tell that this is not root.
USER 10001:10001
WORKDIR /data
# Inside a container only its own network sees the listener. Without a durable Redis the server refuses to start.
ENV SLUICE_LISTEN=0.0.0.0:8080 \
    SLUICE_DATA_DIR=/data \
    SLUICE_REQUIRE_DURABLE=true
VOLUME /data
EXPOSE 8080

# Healthy means ready: Redis answers and messages can be stored. With SLUICE_TLS_CERT set, the listener answers 400 to
# this plain request, which at least shows that it is up. Change the port here if SLUICE_LISTEN has another one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [[ $code == 200 || $code == 400 ]]"]

ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/sluice"]
CMD ["serve"]
