/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tests compile files of this directory a second time with rules that can be switched off, to prove that each
 * rule is needed: they define SOCKMAP_BROKEN first. In the program itself no rule is ever broken.
 */
#ifndef SOCKMAP_BROKEN
#define SOCKMAP_BROKEN(rule) 0
#endif
