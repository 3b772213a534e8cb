/* The verbs of sweep-forward: argv[0] is the verb's name, what is returned the exit code (common/protocol.h). */
#pragma once

int verb_follow(int argc, char **argv);
int verb_export(int argc, char **argv);
int verb_key(int argc, char **argv);
int verb_login(int argc, char **argv);
int verb_selftest(int argc, char **argv);
int verb_fetch(int argc, char **argv);
