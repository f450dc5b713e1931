"""jupyter_kernel_test's suite: the structure of messages as the protocol's own authors check it."""

import unittest

import jupyter_kernel_test


class TunebookConformance(jupyter_kernel_test.KernelTests):
    kernel_name = "tunebook"
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "[1, 2].map((x) => x + 1)", "result": "[ 2, 3 ]"},
    ]
    code_generate_error = "throw new RangeError('no')"
    code_display_data = [
        {"code": "import * as tslab from 'tslab'; tslab.display.html('<b>x</b>')", "mime": "text/html"},
        {"code": "display({ [Symbol.for('Jupyter.display')]: () => ({ 'image/png': 'AAAA' }) })", "mime": "image/png"},
    ]
    code_clear_output = "clearOutput()"
    code_inspect_sample = "parseInt"
    completion_samples = [
        {"text": "proces", "matches": {"process"}},
        {"text": "Math.ab", "matches": {"abs"}},
    ]
    complete_code_samples = ["1", "const f = () => {\n  return 1;\n}", "await Promise.resolve(1)"]
    incomplete_code_samples = ["function f() {", "const s = `open", "foo(1,", "/* open", "const x ="]
    invalid_code_samples = ["const = 3", "let 1x = 2", "foo)("]
    code_history_pattern = "6 ? 7*"
    supported_history_operations = ("tail", "range", "search")
    support_iopub_welcome = True

    def test_history_pattern_is_matched(self) -> None:
        self.flush_channels()
        self.execute_helper(code="6 ** 7")
        self.kc.history(hist_access_type="search", pattern="6 ?? 7*", output=False, raw=True)
        reply = self.get_non_kernel_info_reply(timeout=15)
        self.assertEqual(reply["content"]["history"][-1][2], "6 ** 7")


if __name__ == "__main__":
    unittest.main()
