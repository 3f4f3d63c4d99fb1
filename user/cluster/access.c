/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/core/engine/errors.h"
#include "config/core/engine/yaml.h"
#include "user/base/base64.h"
#include "user/base/limits.h"
#include "user/base/check.h"
#include "user/base/log.h"

enum { BLOCK_BYTES = 16 * 1024, FILE_BYTES = 1024 * 1024 };
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

void cluster_access_init(struct cluster_access *access)
{
	*access = (struct cluster_access){ .namespace = SPAN("default") };
	arena_init(&access->arena, BLOCK_BYTES);
}

void cluster_access_done(struct cluster_access *access)
{
	arena_wipe(&access->arena);
	arena_done(&access->arena);
}

/* A file of at most FILE_BYTES: 0, -EFBIG, -ENOMEM or -errno. */
static int read_file(const char *path, struct text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 && out->len + (size_t)n <= FILE_BYTES)
		text_add(out, span_of(chunk, (size_t)n));
	n = n < 0 ? -errno : n > 0 ? -EFBIG : 0;
	explicit_bzero(chunk, sizeof(chunk));
	close(fd);
	return n ? (int)n : text_error(out);
}

int cluster_access_token(const struct cluster_access *access, struct text *out)
{
	size_t start = out->len;
	int result;

	if (!access->token_path.len) {
		text_add(out, access->token);
		return access->token.len ? text_error(out) : -ENOENT;
	}
	result = read_file(access->token_path.data, out);
	while (out->len > start && strchr(" \t\r\n", out->data[out->len - 1]))
		out->len--;
	if (out->data)
		out->data[out->len] = '\0';
	return result ? result : out->len > start ? 0 : -ENOENT;
}

/* ------------------------------------------------------------------------------------ kubeconfig */

struct reader {
	struct cluster_access *access;
	const char *path;
	struct arena nodes;
	bool failed; /* a line in the log says why */
};

static void refuse(struct reader *reader, const char *what, const char *advice)
{
	if (!reader->failed)
		log_error("%s: %s; %s", reader->path, what, advice);
	reader->failed = true;
}

static struct span scalar(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map && map->kind == YAML_MAP ? yaml_get(map, span_str(key)) : NULL;

	return node && node->kind == YAML_SCALAR && !yaml_is_null(node) ? node->text : (struct span){ 0 };
}

static struct span keep(struct reader *reader, struct span value)
{
	struct span kept = value.len ? arena_copy(&reader->access->arena, value) : value;

	if (value.len && !kept.data)
		refuse(reader, "no memory", "give the process more");
	return kept;
}

/* Paths are relative to the directory of the kubeconfig file. */
static struct span keep_path(struct reader *reader, struct span path)
{
	const char *slash = strrchr(reader->path, '/');
	struct text full;
	struct span kept;

	if (!path.len || path.data[0] == '/' || !slash)
		return keep(reader, path);
	text_init(&full);
	text_fmt(&full, "%.*s/%.*s", (int)(slash - reader->path), reader->path, SPAN_FMT(path));
	kept = keep(reader, text_span(&full));
	text_done(&full);
	return kept;
}

static struct span keep_base64(struct reader *reader, struct span value, const char *key)
{
	char *bytes = value.len ? arena_bytes(&reader->access->arena, value.len) : NULL;
	ssize_t len;

	if (!value.len)
		return value;
	if (!bytes) {
		refuse(reader, "no memory", "give the process more");
		return (struct span){ 0 };
	}
	len = base64_decode(value, bytes);
	if (len <= 0)
		refuse(reader, key, "its value must be base64");
	return len > 0 ? span_of(bytes, (size_t)len) : (struct span){ 0 };
}

/* The value `inner` of the entry of that name in a list such as `clusters`. */
static const struct yaml_node *entry(struct reader *reader, const struct yaml_node *root, const char *list,
				     struct span name, const char *inner)
{
	const struct yaml_node *entries = yaml_get(root, span_str(list));

	if (entries && entries->kind == YAML_LIST) {
		yaml_each(one, entries) {
			if (span_eq(scalar(one, "name"), name) && one->kind == YAML_MAP)
				return yaml_get(one, span_str(inner));
		}
	}
	if (!reader->failed)
		log_error("%s: the list `%s` has no entry named \"%.*s\"; correct current-context, or the "
			  "context that it names",
			  reader->path, list, SPAN_FMT(name));
	reader->failed = true;
	return NULL;
}

static bool is_loopback(struct span server)
{
	static const char *const starts[] = { "http://127.", "http://localhost", "http://[::1]" };

	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (span_starts(server, span_str(starts[i])))
			return true;
	return false;
}

static void read_cluster(struct reader *reader, const struct yaml_node *cluster)
{
	struct cluster_access *access = reader->access;
	struct span server = scalar(cluster, "server");

	while (span_ends(server, SPAN("/")))
		server.len--;
	if (!span_starts(server, SPAN("https://")) && !is_loopback(server))
		refuse(reader, "`server` is no https:// URL", "write https://HOST:PORT");
	if (span_eq(scalar(cluster, "insecure-skip-tls-verify"), SPAN("true")))
		refuse(reader, "insecure-skip-tls-verify would trust any server",
		       "remove it and write certificate-authority");
	if (scalar(cluster, "proxy-url").len)
		refuse(reader, "`proxy-url` is not supported", "use a server that is reached directly");
	access->server = keep(reader, server);
	access->server_name = keep(reader, scalar(cluster, "tls-server-name"));
	access->authority_path = keep_path(reader, scalar(cluster, "certificate-authority"));
	access->authority = keep_base64(reader, scalar(cluster, "certificate-authority-data"),
					"certificate-authority-data");
}

static void read_user(struct reader *reader, const struct yaml_node *user)
{
	struct cluster_access *access = reader->access;

	if (user && user->kind == YAML_MAP &&
	    (yaml_get(user, SPAN("exec")) || yaml_get(user, SPAN("auth-provider"))))
		refuse(reader, "the user's credentials come from a program",
		       "write token, tokenFile, or client-certificate and client-key: the gateway starts no "
		       "program");
	if (scalar(user, "username").len)
		refuse(reader, "API servers know no passwords any more", "write token or client-certificate");
	access->token = keep(reader, scalar(user, "token"));
	access->token_path = keep_path(reader, scalar(user, "tokenFile"));
	access->certificate_path = keep_path(reader, scalar(user, "client-certificate"));
	access->certificate =
		keep_base64(reader, scalar(user, "client-certificate-data"), "client-certificate-data");
	access->key_path = keep_path(reader, scalar(user, "client-key"));
	access->key = keep_base64(reader, scalar(user, "client-key-data"), "client-key-data");
	if ((access->certificate.len || access->certificate_path.len) !=
	    (access->key.len || access->key_path.len))
		refuse(reader, "of client-certificate and client-key there is only one", "write both");
}

static void read_root(struct reader *reader, const struct yaml_node *root)
{
	struct span current = scalar(root, "current-context");
	const struct yaml_node *context;

	if (root->kind != YAML_MAP || !current.len) {
		refuse(reader, "this is no kubeconfig with a current-context",
		       "write the file that kubectl uses, or set one with kubectl config use-context");
		return;
	}
	context = entry(reader, root, "contexts", current, "context");
	if (scalar(context, "namespace").len)
		reader->access->namespace = keep(reader, scalar(context, "namespace"));
	read_cluster(reader, entry(reader, root, "clusters", scalar(context, "cluster"), "cluster"));
	read_user(reader, entry(reader, root, "users", scalar(context, "user"), "user"));
}

static void read_text(struct reader *reader, struct span text)
{
	struct yaml_source source = { .file = span_str(reader->path), .text = text };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	struct config_report report;
	struct text errors;

	config_report_init(&report);
	if (yaml_load(&reader->nodes, &source, &budget, &report, &documents) == 0 && documents.count) {
		read_root(reader, documents.list[0]->root);
	} else {
		text_init(&errors);
		config_report_print(&report, CONFIG_ERROR, "", &errors);
		refuse(reader, "it cannot be read as YAML", errors.len ? errors.data : "it is empty");
		text_done(&errors);
	}
	config_report_done(&report);
}

int cluster_access_read(struct cluster_access *access, const char *path)
{
	struct reader reader = { .access = access, .path = path };
	struct text text;
	int result;

	text_init(&text);
	result = read_file(path, &text);
	if (result) {
		log_error("%s cannot be read: %s; write --kubeconfig FILE", path, strerrordesc_np(-result));
	} else {
		arena_init(&reader.nodes, BLOCK_BYTES);
		read_text(&reader, text_span(&text));
		arena_wipe(&reader.nodes);
		arena_done(&reader.nodes);
		result = reader.failed ? -EINVAL : 0;
	}
	if (text.data)
		explicit_bzero(text.data, text.len);
	text_done(&text);
	return result;
}

/* ------------------------------------------------------------------------------------ pod */

static int keep_server(struct cluster_access *access, const char *host, const char *port)
{
	bool is_ipv6 = strchr(host, ':');
	struct text server;

	text_init(&server);
	text_fmt(&server, "https://%s%s%s:%s", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
	access->server = arena_copy(&access->arena, text_span(&server));
	text_done(&server);
	return access->server.data ? 0 : -ENOMEM;
}

int cluster_access_in_pod(struct cluster_access *access)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	struct text namespace;

	if (!host || !*host || !port || !*port) {
		log_error(
			"--kubernetes works in a pod, and this is none: KUBERNETES_SERVICE_HOST is not set; "
			"write --kubeconfig FILE");
		return -EINVAL;
	}
	access->authority_path = SPAN(ACCOUNT "ca.crt");
	access->token_path = SPAN(ACCOUNT "token");
	text_init(&namespace);
	if (read_file(ACCOUNT "namespace", &namespace) == 0 && namespace.len)
		access->namespace = arena_copy(&access->arena, text_span(&namespace));
	text_done(&namespace);
	return access->namespace.data ? keep_server(access, host, port) : -ENOMEM;
}
