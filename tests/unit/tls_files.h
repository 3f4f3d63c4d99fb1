/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/test.h"

/*
 * Certificates of files, made by openssl(1) in a directory of the test, which becomes the working
 * directory: a.crt (a.example.com, *.w.example.com), b.crt (b.example.com) and rsa.crt (a.example.com, an
 * RSA key), each signed by itself with its key in NAME.key, valid for 20 days; locked.key is that of a,
 * encrypted.
 */
static char tls_folder[] = "/tmp/headgate-test-tls-XXXXXX";

static inline void tls_run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

#define TLS_MAKE(name, kind, names)                                                                          \
	tls_run("openssl req -x509 -newkey " kind " -nodes -days 20 -subj /CN=" name " -keyout " name        \
		".key -out " name ".crt -addext subjectAltName=" names " 2>openssl.log")

static inline int tls_files_make(void **state)
{
	(void)state;
	if (!mkdtemp(tls_folder) || chdir(tls_folder) < 0)
		return -1;
	TLS_MAKE("a", "ec -pkeyopt ec_paramgen_curve:prime256v1", "DNS:a.example.com,DNS:*.w.example.com");
	TLS_MAKE("b", "ec -pkeyopt ec_paramgen_curve:prime256v1", "DNS:b.example.com");
	TLS_MAKE("rsa", "rsa:2048", "DNS:a.example.com");
	tls_run("openssl ec -in a.key -aes128 -passout pass:x -out locked.key 2>openssl.log");
	return 0;
}

static inline int tls_files_drop(void **state)
{
	char command[64];

	(void)state;
	if (chdir("/") < 0)
		return -1;
	snprintf(command, sizeof(command), "rm -r %s", tls_folder);
	return system(command);
}
