/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Drops capabilities after the start. Loading the programs of the kernel lane needs CAP_BPF, CAP_NET_ADMIN
 * and CAP_PERFMON; using them needs only a descriptor. So all capabilities are dropped before the first
 * client is accepted, except CAP_NET_BIND_SERVICE if present: a reload may add a listener below port 1024.
 * CAP_DAC_OVERRIDE is dropped as well: files of the configuration must be readable by the user of the
 * gateway, even if that is root.
 *
 * Capabilities belong to threads, and new threads inherit them: call this before any thread is started.
 */

/* Also sets no_new_privs: no program that this process executes regains capabilities. 0 or -errno. */
int privilege_drop(void);
