/** The tests' switch for the code that depends on undocumented behaviour of Node; see CONTRIBUTING.md. */

/** false: every part reports that it is not supported, and its documented replacement is used. */
export const fastPathsAllowed = process.env['NODE_TEST_WSHUB_FAST_PATHS'] !== 'off';
