"""What a prompt says of what came before it: that it was wrong, or right. Few words, and those that leave no doubt."""

from __future__ import annotations

import re

LONGEST = 400  # characters: a longer prompt is a task, or shows a log; only how it begins counts
_READ, _READ_OF_LONG = 160, 80
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`]*`", re.DOTALL)
_QUOTED = re.compile(r"^[^\S\n]*>.*$", re.MULTILINE)

# In the order in which they are tried; the first that fits says what kind of correction it is.
_CORRECTIONS: dict[str, tuple[str, ...]] = {
    "still failing": (
        r"\bstill (?:fails?|failing|broken|not (?:working|right|correct|fixed)|wrong|errors?|crash\w*"
        r"|the same|see(?:ing)? the|get(?:ting)? (?:the|an|this|that)|doesn'?t|does not|isn'?t|don'?t)\b",
        r"\bsame (?:error|problem|issue) (?:again|as before)",
        r"(?:\A|\b(?:it|that|this|which|fix|change|still|again) )(?:just |really |also )?(?:didn'?t|did not|doesn'?t"
        r"|does not) (?:work|help|fix)\b",
        r"\b(?:it|that|this|still)(?:'?s| is)? not working\b",
        r"\b(?:geht|funktioniert|läuft|klappt) (?:immer )?(?:noch )?(?:immer )?nicht\b",
        r"\bimmer noch (?:der|ein|das|kaputt|nicht)",
        r"\bne (?:marche|fonctionne) (?:toujours )?pas\b",
        r"\btoujours (?:pas|la même erreur)",
        r"\bsigue (?:fallando|sin|igual)",
        r"\bno funciona\b",
        r"\bnão funciona\b",
        r"\bcontinua (?:falhando|com erro)",
        r"не работает",
        r"всё ещё",
        r"все еще не",
        r"还是不行",
        r"还是报错",
        r"没有用",
        r"依然(?:报错|失败)",
        r"まだ(?:動|エラー|失敗)",
        r"動きません",
        r"動かない",
        r"여전히",
    ),
    "said already": (
        r"\b(?:as|like) i (?:already )?(?:said|told you|asked|mentioned)\b",
        r"\bi (?:already|just) (?:said|told you|asked)\b",
        r"\bi (?:said|told you|asked you)\b",
        r"\bi didn'?t (?:ask|say|mean|want)\b",
        r"\bnot what i (?:asked|meant|wanted|said)\b",
        r"\bich (?:habe|hatte) (?:doch |dir )?(?:\w+ )?gesagt\b",
        r"\bwie (?:ich )?(?:schon |bereits )?gesagt\b",
        r"\bj'ai (?:déjà )?dit\b",
        r"\b(?:ya )?te (?:lo )?dije\b",
        r"\beu (?:já )?(?:disse|falei)\b",
        r"я (?:же |уже )?(?:сказал|просил|говорил)",
        r"我说的是",
        r"我说过",
        r"言ったよう",
    ),
    "undo": (
        r"^(?:please )?(?:undo|revert|roll ?back) (?:that|this|it|your|the last|everything|all)\b",
        r"^(?:put|change) it back\b",
        r"\b(?:mach|nimm) (?:das|es) (?:wieder )?(?:rückgängig|zurück)",
        r"^annule (?:ça|cela)",
        r"^deshaz",
        r"^desfa[çz]",
        r"^верни ",
        r"^откати",
        r"撤销",
        r"回滚",
        r"元に戻",
    ),
    "missed": (
        r"\byou (?:forgot|missed|broke|ignored|skipped|misunderstood|removed the wrong|should(?:n'?t"
        r"| not) have|were supposed to)\b",
        r"\byou (?:didn'?t|did not) (?:\w+ )?(?:fix|do|update|change|add|remove|use|follow|read|run"
        r"|address|include)\b",
        r"^why (?:did|are|have|would) you\b",
        r"\bdu hast (?:\w+ ){0,3}(?:vergessen|übersehen|kaputt)",
        r"\btu as oublié",
        r"\bolvidaste\b",
        r"\besqueceu\b",
        r"ты (?:забыл|сломал)",
        r"你忘了",
        r"你漏了",
        r"忘れて",
    ),
    "wrong": (
        r"\b(?:that|this|it|which)(?:'?s| is| was| looks?| seems?) (?:still |just |completely |totally "
        r"|also |clearly )?(?:wrong|incorrect|not (?:right|correct|true|what|it\b))",
        r"^(?:wrong|incorrect|not (?:quite|correct|right|like that))\b",
        r"\byou(?:'?re| are| got it) (?:still )?(?:wrong|mistaken|incorrect)\b",
        r"^(?:das (?:ist|war) )?(?:falsch|nicht richtig)\b",
        r"\bdas (?:stimmt|war(?:'?s)?) nicht\b",
        r"\bc'est (?:faux|incorrect)",
        r"\bce n'est pas (?:ça|correct|ce que)",
        r"\bestá mal\b",
        r"\beso no (?:es|está)",
        r"\bestá errado\b",
        r"неправильно",
        r"это не то",
        r"错了",
        r"不对",
        r"違います",
        r"間違",
        r"틀렸",
    ),
    "no": (
        r"^(?:no|nope|nah)[,.!;:—–-]+(?![\s,.!;:—–-]*(?:problem|worries|need|thanks?|thank|idea|issues?|rush|hurry|more|longer"
        r"|matter|changes?|one|it'?s (?:fine|ok|good|great)|that'?s (?:fine|ok|good|great|all)|looks good|errors?"
        r"|tests?|gracias|danke|merci|obrigad|grazie|\Z))",
        r"^(?:no|nope|nah)\s+(?:that|this|it|don'?t|do not|use|you|i|not|wait|stop|just|we|please|keep|leave|only)\b",
        r"^(?:stop|wait)[,.!]+ ",
        r"^(?:stop|don'?t) (?:doing|do|using|changing|adding) (?:that|this|it)\b",
        r"^nein[,.! ]",
        r"^non[,.! ]+(?!plus)",
        r"^não[,.! ]",
        r"^нет[,.! ]",
        r"^不是",
        r"^不要",
        r"^いや[、,]",
        r"^いいえ",
        r"^아니",
    ),
}
_APPROVALS: dict[str, tuple[str, ...]] = {
    "commit": (
        r"^(?:ok(?:ay)?[,. ]+|great[,.! ]+|perfect[,.! ]+|good[,. ]+|please |now |let'?s |can you "
        r"|yes[,. ]+)*(?:commit(?: (?:this|it|that|these|and|the|everything|all|your|with)\b|[.! ]*\Z)"
        r"|push (?:it|this|that|the)\b|merge it|ship it|(?:create|open|make) (?:a|the) (?:pr"
        r"|pull request)\b)",
        r"提交(?:代码|吧)",
        r"コミットして",
    ),
    "praise": (
        r"^(?:(?:ok(?:ay)?|yes|yeah|ah|oh|wow|hey)[,.! ]+)*(?:thanks?\b|thank you|thx\b|great\b|perfect\b"
        r"|awesome\b|excellent\b|nice\b|lgtm\b|looks (?:good|great)|(?:good|great|nice) (?:job|work|catch"
        r"|one|find)|well done|(?:it|that|this) works\b|works (?:now|great|well|perfectly)\b|love it"
        r"|amazing\b|brilliant\b|wonderful\b|fantastic\b|cool[,.! ]|👍|🎉|💯|danke\b|super[,.! ]|perfekt\b"
        r"|klasse\b|passt\b|sehr gut\b|merci\b|parfait\b|génial\b|gracias\b|perfecto\b|genial\b"
        r"|obrigad[oa]\b|perfeito\b|спасибо|отлично|谢谢|很好|完美|太好了|可以了|ありがとう|完璧|いいね"
        r"|고마워|감사)",
    ),
}
_HOWEVER = re.compile(
    r"\b(?:but|however|except|although|though|aber|jedoch|mais|pero|mas|но)\b|但是|不过|でも|しかし", re.IGNORECASE
)
_CORRECTING = {kind: re.compile("|".join(said), re.IGNORECASE) for kind, said in _CORRECTIONS.items()}
_APPROVING = {kind: re.compile("|".join(said), re.IGNORECASE) for kind, said in _APPROVALS.items()}
_WORD = re.compile(r"\w+")


def correction(prompt: str) -> str | None:
    """What kind of correction the prompt is, None where it is none: what it quotes and shows does not count."""
    said = _said(prompt)
    return None if said is None else next((name for name, pattern in _CORRECTING.items() if pattern.search(said)), None)


def approval(prompt: str) -> str | None:
    """What kind of approval the prompt is, None where it is none, or only half of one."""
    said = _said(prompt)
    if said is None or len(prompt) > LONGEST or _HOWEVER.search(said) or correction(prompt):
        return None
    return next((name for name, pattern in _APPROVING.items() if pattern.search(said)), None)


def words(prompt: str) -> frozenset[str]:
    """The words of a prompt, by which it is compared with others."""
    return frozenset(_WORD.findall(prompt.casefold()))


def _said(prompt: str) -> str | None:
    plain = " ".join(_QUOTED.sub(" ", _CODE.sub(" ", prompt)).split())
    return plain[: _READ if len(plain) <= LONGEST else _READ_OF_LONG] or None
