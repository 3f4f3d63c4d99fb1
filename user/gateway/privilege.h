/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the process may still do once it has started. Loading the programs of the kernel lane takes CAP_BPF,
 * CAP_NET_ADMIN and CAP_PERFMON; using them takes a descriptor. So everything is given up before the first
 * client is accepted, but for CAP_NET_BIND_SERVICE, where it was there: a reload may add a listener below
 * port 1024. Among what goes is CAP_DAC_OVERRIDE: files of the configuration must be readable by the user
 * that the gateway runs as, also when that is root.
 *
 * Capabilities belong to threads, and new threads inherit: call it before any is started.
 */

/* 0 or -errno. Also sets no_new_privs: nothing this process executes gets anything back. */
int privilege_drop(void);
