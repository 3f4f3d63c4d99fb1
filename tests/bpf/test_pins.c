/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: loaded by one process, used by others, also without privileges. They live in a BPF file system that
 * this process mounts in a mount namespace of its own.
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/kernel/ctl/ctl.h"
#include "user/kernel/sockmap/pins.h"
#include "user/kernel/sockmap/selftest.h"
#include "user/kernel/ctl/status.h"

static char mount_dir[64];
static char pin_dir[96];

static int ctl(const char *verb, const char *option, const char *value)
{
	static char pin[] = "--pin";
	char words[3][32];
	char *argv[] = { words[0], pin, pin_dir, words[1], words[2], NULL };

	snprintf(words[0], sizeof(words[0]), "%s", verb);
	snprintf(words[1], sizeof(words[1]), "%s", option ? option : "");
	snprintf(words[2], sizeof(words[2]), "%s", value ? value : "");
	fflush(stdout);
	return sockmap_ctl_main(option ? 5 : 3, argv);
}

static void pins_or_skip(void)
{
	if (pin_dir[0] == '\0')
		rig_skip("no mount namespace, or no BPF file system in it");
	sockmap_free(rig_sockmap(NULL));
}

/* Runs in a child without any privilege; the exit status says what failed. */
static int unprivileged_gateway(void)
{
	struct sockmap_options options = { .worker_count = 2, .max_credit_bytes = 1 << 20 };
	struct sockmap *sockmap = NULL;
	struct text why;
	uint64_t took_ns;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setgroups(0, NULL) || setgid(65534) || setuid(65534))
		return 10;
	text_init(&why);
	if (sockmap_load(&options, &sockmap, &why) != -EPERM)
		return 11;
	if (sockmap_open_pins(pin_dir, &options, &sockmap, &why)) {
		fprintf(stderr, "%s\n", why.data);
		return 12;
	}
	if (sockmap_selftest(sockmap, &why, &took_ns)) {
		fprintf(stderr, "%s\n", why.data);
		return 13;
	}
	sockmap_free(sockmap);
	text_done(&why);
	return 0;
}

static int exit_status_of(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(pins_serve_a_gateway_without_privileges)
{
	pins_or_skip();
	assert_int_equal(ctl("load", "--user", "nobody"), 0);
	assert_int_equal(ctl("status", NULL, NULL), 0);
	assert_int_equal(exit_status_of(unprivileged_gateway), 0);
	/* And again: the first one left nothing behind that hinders the second. */
	assert_int_equal(exit_status_of(unprivileged_gateway), 0);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	assert_int_not_equal(access(pin_dir, F_OK), 0);
}

TEST(a_new_load_replaces_old_pins)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap *first = NULL, *second = NULL;
	struct text why;

	pins_or_skip();
	text_init(&why);
	assert_int_equal(ctl("load", "--slots", "128"), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &first, &why), 0);
	assert_int_equal(first->slots.count, 128);
	assert_int_equal(ctl("load", "--slots", "64"), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &second, &why), 0);
	assert_int_equal(second->slots.count, 64);
	/* Who had the old maps open keeps them. */
	uint64_t took_ns;
	assert_int_equal(sockmap_selftest(first, &why, &took_ns), 0);
	sockmap_free(first);
	sockmap_free(second);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	text_done(&why);
}

/* The part of the text that is about this program, up to the next one. */
static void status_of_program(struct text *text, uint32_t program)
{
	char *from, *to;
	char name[32];

	snprintf(name, sizeof(name), "program %u ", program);
	from = strstr(text->data, name);
	assert_non_null(from);
	to = strstr(from + 1, "\nprogram ");
	if (to)
		*to = '\0';
	memmove(text->data, from, strlen(from) + 1);
}

__attribute__((format(printf, 2, 3))) static void assert_says(const struct text *text, const char *format,
							      ...)
{
	va_list arguments;
	char line[128];

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (!strstr(text->data, line))
		fail_msg("\"%s\" is not in:\n%s", line, text->data);
}

TEST(status_shows_what_a_process_has_loaded)
{
	struct sockmap_options options = { .slot_count = 62, .worker_count = 3 };
	struct sockmap *sockmap = rig_sockmap(&options);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream s;
	struct text text;

	text_init(&text);
	rig_stream_open(rig, &s, NULL);
	rig_tunnel(&s, 0);
	assert_int_equal(sockmap_status(NULL, &text), 0);
	status_of_program(&text, rig_program_id(sockmap->prog_fd));
	assert_says(&text, "to map %u\n", rig_map_id(sockmap, SOCKMAP_MAP_SOURCES));
	assert_says(&text, "  map %u gates: 62 entries of 320 bytes\n",
		    rig_map_id(sockmap, SOCKMAP_MAP_GATES));
	text_done(&text);
	rig_stream_close(&s);
	rig_free(rig);
	sockmap_free(sockmap);
}

/* The pins, and a process that has opened them. */
TEST(status_shows_pins_and_who_has_them_open)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap *sockmap = NULL;
	struct text text;
	int prog_fd = -1, ready[2];
	char byte;
	pid_t pid;

	pins_or_skip();
	text_init(&text);
	assert_int_equal(sockmap_status(pin_dir, &text), -ENOENT);
	assert_int_equal(ctl("status", NULL, NULL), 1);
	assert_int_equal(ctl("load", "--slots", "64"), 0);
	assert_int_equal(sockmap_open_program(pin_dir, &prog_fd, &text), 0);
	close(prog_fd);
	text_clear(&text);
	assert_int_equal(sockmap_status(pin_dir, &text), 0);
	assert_says(&text, "  attached by link ");
	assert_says(&text, " sources: 64 entries of 8 bytes\n");
	assert_says(&text, "  slots: 0 of 64 taken, ");
	assert_says(&text, "  rings: 8 in total\n");
	assert_says(&text, "  open in: no process seen here, pins keep it");
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (sockmap_open_pins(pin_dir, &options, &sockmap, &text) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	text_clear(&text);
	assert_int_equal(sockmap_status(pin_dir, &text), 0);
	assert_says(&text, "  open in: process %d test_pins", pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	text_done(&text);
}

TEST(pins_that_do_not_fit_are_refused_with_a_reason)
{
	struct sockmap_options options = { .worker_count = 9 };
	struct sockmap_info info = { .abi_version = SOCKMAP_ABI_VERSION + 1,
				     .slot_count = 64,
				     .worker_count = 8,
				     .record_bytes = sizeof(struct sockmap_record) };
	struct sockmap *sockmap = NULL, *pinned;
	struct text why;
	uint32_t key = 0;

	pins_or_skip();
	text_init(&why);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), -ENOENT);
	assert_non_null(strstr(why.data, "headgate bpf load"));
	text_clear(&why);
	assert_int_equal(ctl("load", NULL, NULL), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), -ERANGE);
	assert_non_null(strstr(why.data, "--workers 9"));
	text_clear(&why);
	options.worker_count = 1;
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &pinned, &why), 0);
	assert_int_equal(bpf_map_update_elem(pinned->map_fds[SOCKMAP_MAP_INFO], &key, &info, BPF_ANY), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), -EPROTO);
	assert_non_null(strstr(why.data, "another version"));
	text_clear(&why);
	/* Made by a build that changed the layout and forgot the number. */
	info.abi_version = SOCKMAP_ABI_VERSION;
	assert_int_equal(bpf_map_update_elem(pinned->map_fds[SOCKMAP_MAP_INFO], &key, &info, BPF_ANY), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), -EPROTO);
	assert_non_null(strstr(why.data, SOCKMAP_ABI_FINGERPRINT));
	sockmap_free(pinned);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	assert_int_equal(ctl("load", "--workers", "none"), 2);
	/* The gateway would refuse the kernel all the same. */
	assert_int_equal(ctl("load", "--force", "1"), 2);
	assert_int_equal(ctl("frobnicate", NULL, NULL), 2);
	text_done(&why);
}

TEST(a_directory_elsewhere_is_refused)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct text why;
	char dir[] = "/tmp/headgate-no-bpffs-XXXXXX";
	char below[64];

	text_init(&why);
	assert_non_null(mkdtemp(dir));
	snprintf(below, sizeof(below), "%s/x", dir);
	assert_int_equal(sockmap_pin(sockmap, below, (uid_t)-1, (gid_t)-1, &why), -EINVAL);
	assert_non_null(strstr(why.data, "mount -t bpf"));
	assert_int_not_equal(access(below, F_OK), 0);
	/* Nor is anything removed that was there before. */
	assert_int_equal(sockmap_pin(sockmap, dir, (uid_t)-1, (gid_t)-1, &why), -EINVAL);
	assert_int_equal(rmdir(dir), 0);
	text_done(&why);
	sockmap_free(sockmap);
}

/* Holds slots and a ring of the pinned maps and is killed. */
static int dying_gateway(void)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap *sockmap = NULL;
	struct text why;

	text_init(&why);
	if (sockmap_open_pins(pin_dir, &options, &sockmap, &why))
		return 1;
	struct rig *rig = rig_create(sockmap);
	struct rig_stream s;
	rig_stream_open(rig, &s, NULL);
	rig_tunnel(&s, 0);
	/* As if it had been taken long ago. */
	sockmap_socket_record(&s.front_socket)->user.claimed_ns = 1;
	sockmap_socket_record(&s.back_socket)->user.claimed_ns = 1;
	kill(getpid(), SIGKILL);
	return 2;
}

TEST(slots_and_rings_of_a_killed_gateway_come_back)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap *sockmap = NULL;
	struct sockmap_worker *worker = NULL;
	struct text why;

	pins_or_skip();
	text_init(&why);
	assert_int_equal(ctl("load", "--workers", "1"), 0);
	assert_int_equal(exit_status_of(dying_gateway), 128 + SIGKILL);
	/* Who only looks changes nothing. */
	assert_int_equal(ctl("status", NULL, NULL), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), 0);
	assert_int_equal(sockmap_count_taken(sockmap), 2);
	assert_true(rig_count_elements(sockmap->map_fds[SOCKMAP_MAP_GATE_OF]) > 0);
	assert_int_equal(sockmap_reclaim(sockmap, SLOTS_ORPHAN_NS), 2);
	assert_int_equal(sockmap_count_taken(sockmap), 0);
	assert_int_equal(rig_count_elements(sockmap->map_fds[SOCKMAP_MAP_GATE_OF]), 0);
	assert_int_equal(sockmap_worker_create(sockmap, &worker), 0);
	/* Its only ring is read now. */
	struct sockmap_worker *second = NULL;
	assert_int_equal(sockmap_worker_create(sockmap, &second), -ENOSPC);
	sockmap_worker_free(worker);
	sockmap_free(sockmap);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	text_done(&why);
}

/* Takes a ring, and ends without giving it back when it is to. */
static bool keeps_ring;

static int ring_gateway(void)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap *sockmap = NULL;
	struct sockmap_worker *worker = NULL;
	struct text why;
	int error;

	text_init(&why);
	if (sockmap_open_pins(pin_dir, &options, &sockmap, &why))
		return 1;
	error = sockmap_worker_create(sockmap, &worker);
	if (error)
		return error == -ENOSPC ? 3 : 2;
	if (!keeps_ring)
		sockmap_worker_free(worker);
	return 0;
}

/* As process 1 of a process namespace of its own, like a container's. */
static int ring_gateway_in_container(void)
{
	return unshare(CLONE_NEWPID) ? 4 : exit_status_of(ring_gateway);
}

/* Process numbers of containers say nothing outside of them, and each container has a process 1. */
TEST(rings_are_kept_and_come_back_across_containers)
{
	struct sockmap_options options = { .worker_count = 1 };
	struct sockmap_worker *worker = NULL;
	struct sockmap *sockmap = NULL;
	struct text why;

	pins_or_skip();
	text_init(&why);
	assert_int_equal(ctl("load", "--workers", "1"), 0);
	assert_int_equal(sockmap_open_pins(pin_dir, &options, &sockmap, &why), 0);
	assert_int_equal(sockmap_worker_create(sockmap, &worker), 0);
	assert_int_equal(exit_status_of(ring_gateway_in_container), 3);
	assert_int_equal(exit_status_of(ring_gateway), 3);
	sockmap_worker_free(worker);
	keeps_ring = true;
	for (int restart = 0; restart < 3; restart++)
		assert_int_equal(exit_status_of(ring_gateway_in_container), 0);
	assert_int_equal(exit_status_of(ring_gateway), 0);
	keeps_ring = false;
	assert_int_equal(sockmap_worker_create(sockmap, &worker), 0);
	sockmap_worker_free(worker);
	sockmap_free(sockmap);
	assert_int_equal(ctl("unload", NULL, NULL), 0);
	text_done(&why);
}

/* Without it the tests skip themselves. */
static int bpffs_mount(void **state)
{
	(void)state;
	strcpy(mount_dir, "/tmp/headgate-bpffs-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(mount_dir))
		return 0;
	if (mount("bpf", mount_dir, "bpf", 0, NULL)) {
		rmdir(mount_dir);
		return 0;
	}
	chmod(mount_dir, 0755);
	snprintf(pin_dir, sizeof(pin_dir), "%s/headgate", mount_dir);
	return 0;
}

static int bpffs_unmount(void **state)
{
	(void)state;
	if (pin_dir[0]) {
		umount(mount_dir);
		rmdir(mount_dir);
	}
	return 0;
}

TEST_GROUP(bpffs_mount, bpffs_unmount);
