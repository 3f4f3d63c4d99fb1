/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/base/arena.h"
#include "user/base/text.h"

/*
 * How to reach an API server, and as whom: from a kubeconfig file, or from what Kubernetes mounts into a pod.
 * Texts are in the arena and end with a NUL; an empty one is not given.
 */
struct cluster_access {
	struct arena arena;
	struct span server; /* "https://host:port", without a slash at the end */
	struct span server_name; /* of its certificate, if it is not the host */
	/* PEM; a path is read again for each connection, because its content may be replaced. */
	struct span authority;
	struct span authority_path;
	struct span certificate;
	struct span certificate_path;
	struct span key;
	struct span key_path;
	struct span token;
	struct span token_path; /* read again for each request: tokens of pods are replaced */
	struct span namespace; /* for the lease; "default" if nothing says so */
};

/* Only arena_done() of access->arena may follow a failure, as well as a success. */
void cluster_access_init(struct cluster_access *access);
void cluster_access_done(struct cluster_access *access);
/*
 * Reads a kubeconfig file: its current context. 0, or a negative errno after one line in the log that says
 * what to change. Refuses what would run a program (exec, auth-provider) or trust anybody
 * (insecure-skip-tls-verify), and http:// beyond loopback.
 */
int cluster_access_read(struct cluster_access *access, const char *path);
/* In a pod: KUBERNETES_SERVICE_HOST and the mounted service account. Errors as above. */
int cluster_access_in_pod(struct cluster_access *access);
/* Appends the token, without blanks around it. 0, -ENOENT (there is none), or -errno of reading its file. */
int cluster_access_token(const struct cluster_access *access, struct text *out);
