/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/ctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/span.h"
#include "user/kernel/sockmap/pins.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/sockmap/selftest.h"
#include "user/kernel/ctl/status.h"

/* No default for credit: it is part of the gateway's configuration, not of the maps. */
#define CTL_WORKERS_DEFAULT 8u

struct ctl_arguments {
	const char *pin_dir;
	const char *user;
	uint32_t slots;
	uint32_t workers;
};

static int usage(const char *problem, const char *word)
{
	if (problem)
		fprintf(stderr, "headgate bpf: %s: %s\n", word, problem);
	fputs("usage: headgate bpf load --pin DIR [--slots N] [--workers N] [--user NAME]\n"
	      "       headgate bpf status [--pin DIR]\n"
	      "       headgate bpf unload --pin DIR\n"
	      "DIR is below a BPF file system, for example /sys/fs/bpf/headgate "
	      "(mount -t bpf bpf /sys/fs/bpf)\n",
	      stderr);
	return 2;
}

static bool number_parse(const char *text, uint32_t min, uint32_t max, uint32_t *ret_number)
{
	uint64_t number;

	if (span_parse_u63(span_str(text), &number) || number < min || number > max)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

/* Returns 0 or the exit status of a usage error. */
static int arguments_parse(int argc, char **argv, struct ctl_arguments *a)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!value)
			return usage("needs a value, or is unknown", argv[i]);
		if (strcmp(argv[i], "--pin") == 0)
			a->pin_dir = value;
		else if (strcmp(argv[i], "--user") == 0)
			a->user = value;
		else if (strcmp(argv[i], "--slots") == 0 &&
			 !number_parse(value, 2, SOCKMAP_SLOTS_MAX, &a->slots))
			return usage("a number from 2 to 1048576, two for each stream", argv[i]);
		else if (strcmp(argv[i], "--workers") == 0 &&
			 !number_parse(value, 1, SOCKMAP_WORKERS_MAX, &a->workers))
			return usage("a number from 1 to 256, at least the gateway's worker threads",
				     argv[i]);
		else if (strcmp(argv[i], "--slots") != 0 && strcmp(argv[i], "--workers") != 0)
			return usage("unknown option", argv[i]);
	}
	return 0;
}

static int fail(struct text *why)
{
	struct span text = probe_reasons(why);

	fprintf(stderr, "headgate bpf: %.*s\n", SPAN_FMT(text));
	return 1;
}

static int user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct text *why)
{
	*ret_uid = (uid_t)-1;
	*ret_gid = (gid_t)-1;
	if (!name)
		return 0;
	struct passwd *entry = getpwnam(name);
	if (!entry) {
		text_fmt(why, "--user %s: there is no such user", name);
		return -ENOENT;
	}
	*ret_uid = entry->pw_uid;
	*ret_gid = entry->pw_gid;
	return 0;
}

static int load(const struct ctl_arguments *a, struct text *why)
{
	struct sockmap_options options = {
		.slot_count = a->slots,
		.worker_count = a->workers ? a->workers : CTL_WORKERS_DEFAULT,
		.max_credit_bytes = UINT32_MAX,
	};
	struct sockmap *sockmap = NULL;
	uint64_t took_ns = 0;
	uid_t uid;
	gid_t gid;
	int error = user_find(a->user, &uid, &gid, why);

	if (!error)
		error = probe_privileges(why);
	if (!error)
		error = probe_kernel(why);
	if (!error)
		error = sockmap_load(&options, &sockmap, why);
	if (!error)
		error = sockmap_selftest(sockmap, why, &took_ns);
	if (!error)
		error = sockmap_pin(sockmap, a->pin_dir, uid, gid, why);
	if (!error)
		printf("loaded and pinned in %s: %u slots, %u workers, self-test passed in %.1f ms\n",
		       a->pin_dir, sockmap->slots.count, sockmap->worker_count, (double)took_ns / 1e6);
	sockmap_free(sockmap);
	return error;
}

static int unload(const struct ctl_arguments *a, struct text *why)
{
	int count = sockmap_unpin(a->pin_dir, why);

	if (count < 0)
		return count;
	if (count == 0)
		printf("%s: no pins of headgate\n", a->pin_dir);
	else
		printf("%s: %d pins removed; running gateways keep what they have open until they end\n",
		       a->pin_dir, count);
	return 0;
}

int sockmap_ctl_main(int argc, char **argv)
{
	struct ctl_arguments arguments = { 0 };
	const char *verb = argc > 0 ? argv[0] : "";
	struct text text;
	int error = arguments_parse(argc, argv, &arguments);

	if (error)
		return error;
	bool is_status = strcmp(verb, "status") == 0;
	bool is_load = strcmp(verb, "load") == 0;
	if (!is_status && !is_load && strcmp(verb, "unload") != 0)
		return usage(verb[0] ? "expected load, status or unload" : NULL, verb);
	if (!is_status && !arguments.pin_dir)
		return usage("--pin DIR is missing", verb);
	text_init(&text);
	if (is_status) {
		error = sockmap_status(arguments.pin_dir, &text);
		if (!error)
			printf("%.*s", SPAN_FMT(text_span(&text)));
	} else {
		error = is_load ? load(&arguments, &text) : unload(&arguments, &text);
	}
	if (error)
		fail(&text);
	text_done(&text);
	return error ? 1 : 0;
}
