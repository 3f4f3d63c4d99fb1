/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/gateway_load.h"

#include <errno.h>

#include "config/standalone/static.h"
#include "config/snapshot.h"
#include "policy/compile/certificate_list.h"
#include "policy/compile/effective.h"
#include "user/auth/session_token.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/cluster/cluster.h"
#include "user/gateway/own_ports.h"

static void warn(void *context, const char *sentence)
{
	config_warning(context, NULL, "%s", sentence);
}

/* Forbids core dumps from the first private key, password or API key on. */
static void guard_keys(const struct snapshot *snapshot)
{
	if (snapshot->has_secrets || snapshot->has_sessions)
		tls_forbid_dumps();
	for (uint32_t i = 0; i < snapshot->certificate_count; i++) {
		if (snapshot->certificate_list[i].use == CERTIFICATE_OF_AUTHORITY)
			continue;
		tls_forbid_dumps();
		return;
	}
}

static struct config_setting setting_of(const struct options *options, const struct store *store,
					const struct snapshot *previous)
{
	return (struct config_setting){
		.previous = previous,
		.is_cluster = store,
		.pool = options->gateway_addresses.range_count ? &options->gateway_addresses : NULL,
		.status_address_list = options->status_address_list,
		.status_address_count = options->status_address_count,
	};
}

/* Without a key in the configuration, one of this process, which reloads keep. 0 or -ENOMEM. */
static int attach_session_key(struct snapshot *snapshot, const struct snapshot *previous)
{
	const struct session_key *kept = previous ? previous->session_key : NULL;
	struct session_key *key;

	if (snapshot->session_key)
		return 0;
	key = session_key_create(kept && !kept->is_configured ? kept : NULL);
	if (!key || snapshot_add_destructor(snapshot, session_key_free, key) < 0) {
		session_key_free(key);
		return -ENOMEM;
	}
	snapshot->session_key = key;
	return 0;
}

static void warn_about_sessions(const struct snapshot *snapshot, struct config_report *report)
{
	if (snapshot->has_sessions && !snapshot->session_key->is_configured)
		config_warning(
			report, NULL,
			"sessionPersistence has no key, so sessions end with this process, and no other "
			"gateway knows them; write config: {session: {key: ...}} with the output of "
			"openssl rand -hex 32");
}

/* The files, then the objects of the API server. */
static int load_all(const struct options *options, struct store *store, const struct snapshot *previous,
		    struct config_report *report, struct snapshot **ret_snapshot)
{
	const struct config_setting setting = setting_of(options, store, previous);
	struct config_source *list;
	struct cluster_texts texts;
	size_t files = options->source_count;
	int error;

	if (!store)
		return config_load_with(options->source_list, files, &setting, report, ret_snapshot);
	error = cluster_texts_make(&texts, store, previous);
	list = hg_malloc((files + texts.count + 1) * sizeof(*list));
	if (!error && !list)
		error = -ENOMEM;
	if (!error) {
		memcpy(list, options->source_list, files * sizeof(*list));
		memcpy(list + files, texts.source_list, texts.count * sizeof(*list));
		error = config_load_with(list, files + texts.count, &setting, report, ret_snapshot);
	}
	hg_free(list);
	cluster_texts_done(&texts);
	return error;
}

int gateway_load(const struct options *options, struct store *store, const struct snapshot *previous,
		 struct messages *messages, struct snapshot **ret_snapshot)
{
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int error;

	config_report_init(&report);
	error = load_all(options, store, previous, &report, &snapshot);
	if (!error)
		error = attach_session_key(snapshot, previous);
	if (!error)
		error = policy_compile(snapshot, &report);
	/* A port of an API server's Gateway is left out: port_plan_make(). */
	if (!error)
		error = own_ports_check(snapshot, !store, &report);
	if (!error) {
		guard_keys(snapshot);
		warn_about_sessions(snapshot, &report);
	}
	if (!error && (options->strict || options->validate_only) && report.fault_count)
		error = -EINVAL;
	/*
	 * Expiry warnings come later and do not count: a certificate about to expire must not block a reload
	 * that replaces it.
	 */
	if (!error && options->strict && report.count[CONFIG_WARNING]) {
		config_error(&report, NULL, "refused for its %u warning%s, which --strict makes errors",
			     report.count[CONFIG_WARNING], report.count[CONFIG_WARNING] == 1 ? "" : "s");
		error = -EINVAL;
	}
	if (!error)
		certificate_warn(snapshot, (int64_t)(clock_wall_us() / US_PER_S), warn, &report);
	messages_add(messages, &report, error != 0);
	config_report_done(&report);
	if (error) {
		snapshot_unref(snapshot);
		return error;
	}
	*ret_snapshot = snapshot;
	return 0;
}

void gateway_load_warn_late(struct text *warnings, const struct static_config *old,
			    const struct static_config *new)
{
	struct text keys;

	text_init(&keys);
	schema_late_keys(&static_schema, old, new, &keys);
	if (keys.len) {
		log_warn("config: what changed in %.*s takes effect at the next start",
			 SPAN_FMT(text_span(&keys)));
		text_fmt(warnings, "config: what changed in %.*s takes effect at the next start\n",
			 SPAN_FMT(text_span(&keys)));
	}
	text_done(&keys);
}
