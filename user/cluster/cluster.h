/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"
#include "user/cluster/definition.h"
#include "user/cluster/reflector.h"
#include "user/cluster/service_writer.h"
#include "user/cluster/status_writer.h"

struct cluster_events {
	void (*on_change)(void *context); /* after a burst of changes; NULL: cluster_wait() */
	/* What statuses depend on, but no configuration, is known or has changed. */
	void (*on_facts)(void *context);
	void *context;
};

/*
 * The Kubernetes objects of an API server, as a source of configurations. Runs in the main thread. While the
 * server cannot be reached, the last objects stay in force.
 */
struct cluster {
	struct cluster_access access;
	struct store store; /* what the server has sent */
	struct store copy; /* what the file has, while is_from_file */
	struct api api;
	struct reflector reflectors[KIND_COUNT];
	struct cluster_lease lease;
	struct cluster_definition definition;
	struct status_writer writer;
	struct service_writer services;
	struct loop *loop; /* borrowed; NULL: stopped */
	struct timer gather; /* the end of a burst of changes */
	struct timer save; /* when the file is written next */
	struct timer facts; /* the end of a burst of changes of statuses that ours depend on */
	const char *file; /* copy of the objects on disk; borrowed, NULL: none */
	uint64_t first_ms; /* start of the burst; 0: none */
	uint64_t reported; /* store.changes at the last on_change */
	uint64_t looked; /* store.status_changes at the last look of the writer */
	uint64_t saved; /* store.changes in the file */
	uint64_t save_ms; /* the pause before the next write; 0: the least */
	uint64_t endpoint_updates; /* changes of endpoints that were put into force alone */
	bool is_from_file; /* the configuration is made of `copy`, until the lists are complete */
	struct cluster_events events;
};

enum {
	CLUSTER_GATHER_MS = 50, /* without changes, then a burst is over */
	CLUSTER_GATHER_MAX_MS = 500,
};

struct cluster_options {
	const char *kubeconfig; /* a path; NULL: in a pod */
	const char *file; /* a copy of the objects, for a start without an API server; NULL: none */
	bool has_pool; /* Gateways get addresses from a pool, and keep those in their statuses */
	bool has_services; /* each Gateway gets a Service */
};

/*
 * Strings are borrowed. 0, or a negative errno after a line in the log. cluster_done() may follow in any
 * case.
 */
int cluster_init(struct cluster *cluster, const struct cluster_options *options);
void cluster_done(struct cluster *cluster);
/*
 * Waits until the objects are complete, with a loop of its own. If there is a copy on disk, not for longer
 * than some seconds. 0, -EINTR (a signal tells the process to end), or another negative errno.
 */
int cluster_wait(struct cluster *cluster);
/* Follows the objects, until cluster_stop(). */
int cluster_start(struct cluster *cluster, struct loop *loop, const struct cluster_events *events);
void cluster_stop(struct cluster *cluster);
/* What a configuration is made of: the server's objects, or those of the file; never some of each. */
static inline struct store *cluster_objects(struct cluster *cluster)
{
	return cluster->is_from_file ? &cluster->copy : &cluster->store;
}
/* What cluster_objects() has is in force. NULL allowed. */
void cluster_applied(struct cluster *cluster);
/* Each kind was listed completely at least once. */
bool cluster_is_complete(const struct cluster *cluster);
/* Since when a kind cannot be watched, microseconds since the epoch; 0: all are watched. */
uint64_t cluster_away_us(const struct cluster *cluster);
/* The annotation bundle-version of the definitions of Gateway API; NULL: not known. */
static inline const struct text *cluster_bundle_version(const struct cluster *cluster)
{
	return cluster->definition.is_known ? &cluster->definition.version : NULL;
}
/* A sentence about what is wrong with the connection; empty: nothing. */
struct span cluster_problem(const struct cluster *cluster);

enum { CLUSTER_SOURCES_MAX = 48 };

/* The objects as texts for config_load(). */
struct cluster_texts {
	struct config_source source_list[CLUSTER_SOURCES_MAX];
	struct text text_list[CLUSTER_SOURCES_MAX]; /* owner */
	uint32_t count;
};

/*
 * The manifests of the Services whose endpoints have changed, for config_load_endpoints(): nothing if the
 * snapshot in force uses none of them. 0, -EAGAIN (more than endpoints has changed) or -ENOMEM.
 */
int cluster_texts_changed(const struct store *store, const struct snapshot *snapshot, struct text *out);
/*
 * Those that something names (mentions.h). previous: the configuration in force, whose objects may stay in
 * force; NULL: none. 0 or -ENOMEM. cluster_texts_done() follows in any case.
 */
int cluster_texts_make(struct cluster_texts *texts, struct store *store, const struct snapshot *previous);
/* Wipes them: there are Secrets among them. */
void cluster_texts_done(struct cluster_texts *texts);
