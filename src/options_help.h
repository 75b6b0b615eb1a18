/*
 * The text for -h: every option, in the order of what one looks for.
 */
#ifndef GHLOGFS_OPTIONS_HELP_H
#define GHLOGFS_OPTIONS_HELP_H

const char *options_help_text(void);

#endif
