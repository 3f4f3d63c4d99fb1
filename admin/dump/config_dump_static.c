/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump_static.h"

#include <string.h>

#include "admin/dump/config_dump_schema.h"
#include "config/standalone/static.h"
#include "gen/version.h"
#include "user/base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILD_PROFILE "sanitizer"
#elif defined(__OPTIMIZE__)
#define BUILD_PROFILE "release"
#else
#define BUILD_PROFILE "debug"
#endif

#if defined(__x86_64__)
#define BUILD_MACHINE "x86_64"
#elif defined(__aarch64__)
#define BUILD_MACHINE "aarch64"
#elif defined(__riscv)
#define BUILD_MACHINE "riscv64"
#else
#define BUILD_MACHINE "unknown"
#endif

/* "0.1.0+g1a2b3c4" contains the commit; the version of a tagged build or a plain export does not. */
static void dump_revision(struct json_writer *w)
{
	const char *at = strstr(HEADGATE_VERSION, "+g");

	json_str(w, "git_revision", at ? at + 2 : "unknown");
}

void dump_version(struct json_writer *w)
{
	json_open_object(w, "version");
	json_str(w, "version", HEADGATE_VERSION);
	dump_revision(w);
	json_null(w, "rust_version");
	json_str(w, "build_profile", BUILD_PROFILE);
	json_str(w, "build_target", BUILD_MACHINE "-linux-gnu");
	json_str(w, "compiler", __VERSION__);
	json_close(w);
}

/* The effective values: options, the environment or an operator may override the file. */
static struct static_config config_in_force(const struct static_config *config,
					    const struct config_dump_facts *facts)
{
	static const struct span off = { "off", 3 };
	struct static_config now = *config;

	now.worker_threads = facts->worker_count;
	now.admin_addr = facts->admin_addr.len ? facts->admin_addr : off;
	now.stats_addr = facts->stats_addr.len ? facts->stats_addr : off;
	now.readiness_addr = facts->readiness_addr.len ? facts->readiness_addr : off;
	now.log_level = span_str(log_level_name(log_get_level()));
	now.log_format = log_get_format() == LOG_JSON ? SPAN("json") : SPAN("text");
	return now;
}

void dump_static_config(struct json_writer *w, const struct static_config *config,
			const struct config_dump_facts *facts)
{
	struct static_config now = config_in_force(config, facts);

	json_open_object(w, "config");
	dump_rows(w, &static_schema, &now);
	json_close(w);
}
