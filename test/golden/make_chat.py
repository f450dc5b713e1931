"""Makes chat.json: chat templates and what transformers renders with them, for test/tokens/chat-template.test.ts.

    python test/golden/make_chat.py     (versions: requirements.txt)
"""

import json
from pathlib import Path

import transformers
from transformers.utils.chat_template_utils import render_jinja_template

templates = {
    "markers": "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] | trim + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "blocks on lines of their own": "{% for message in messages %}\n    {% if message['role'] == 'user' %}\nQ: {{ message['content'] }}\n    {% elif message.role == 'assistant' %}\nA: {{ message['content'] }}{{ eos_token }}\n    {% else %}\n{{ raise_exception('no such role: ' + message['role']) }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\nA:{% endif %}",
    "system first, turns in order": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must take turns') }}{% endif %}{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
}
talks = [
    [{"role": "user", "content": " Hello {{ you }} </s> "}],
    [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好！\n"}, {"role": "user", "content": "再见"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
]
cases = []
for name, template in templates.items():
    for talk in talks:
        for prompt in (True, False):
            try:
                text = render_jinja_template([talk], chat_template=template, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")[0][0]
                result = {"text": text}
            except Exception as error:
                result = {"error": str(error)}
            cases.append({"name": name, "template": template, "messages": talk, "prompt": prompt, **result})
out = Path(__file__).with_name("chat.json")
out.write_text(json.dumps({"transformers": transformers.__version__, "cases": cases}, ensure_ascii=True, separators=(",", ":")) + "\n")
