/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/gateway_load.h"

#include <errno.h>

#include "config/snapshot.h"
#include "policy/compile/certificate_list.h"
#include "policy/compile/effective.h"
#include "user/base/clock.h"

static void warn(void *context, const char *sentence)
{
	config_warning(context, NULL, "%s", sentence);
}

/* Forbids core dumps from the first private key, password or API key on. */
static void guard_keys(const struct snapshot *snapshot)
{
	if (snapshot->has_secrets)
		tls_forbid_dumps();
	for (uint32_t i = 0; i < snapshot->certificate_count; i++) {
		if (snapshot->certificate_list[i].use == CERTIFICATE_OF_AUTHORITY)
			continue;
		tls_forbid_dumps();
		return;
	}
}

int gateway_load(const struct options *options, const struct snapshot *previous, struct messages *messages,
		 struct snapshot **ret_snapshot)
{
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int error;

	config_report_init(&report);
	error = config_load(options->source_list, options->source_count, previous, &report, &snapshot);
	if (!error)
		error = policy_compile(snapshot, &report);
	if (!error)
		guard_keys(snapshot);
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
