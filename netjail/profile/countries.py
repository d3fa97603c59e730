# SPDX-License-Identifier: GPL-3.0-or-later
"""Which country a server's name says, as providers write them: `se-sto-wg-001`, `wg-SE-12`,
`se123.example`, `us_california`, `Sweden`. ISO 3166-1 codes; English names as providers use them.
"""

from __future__ import annotations

import re
from functools import lru_cache

COUNTRIES: dict[str, str] = {}
_TABLE = """
ad andorra,ae united arab emirates,af afghanistan,al albania,am armenia,ao angola,ar argentina
at austria,au australia,az azerbaijan,ba bosnia and herzegovina,bd bangladesh,be belgium
bg bulgaria,bh bahrain,bm bermuda,bn brunei,bo bolivia,br brazil,bs bahamas,bt bhutan,by belarus
bz belize,ca canada,cd congo,ch switzerland,ci ivory coast,cl chile,cm cameroon,cn china
co colombia,cr costa rica,cu cuba,cy cyprus,cz czechia,de germany,dk denmark,do dominican republic
dz algeria,ec ecuador,ee estonia,eg egypt,es spain,et ethiopia,fi finland,fr france
gb united kingdom,ge georgia,gh ghana,gl greenland,gr greece,gt guatemala,gu guam,hk hong kong
hn honduras,hr croatia,ht haiti,hu hungary,id indonesia,ie ireland,il israel,im isle of man
in india,iq iraq,ir iran,is iceland,it italy,je jersey,jm jamaica,jo jordan,jp japan,ke kenya
kg kyrgyzstan,kh cambodia,kr south korea,kw kuwait,ky cayman islands,kz kazakhstan,la laos
lb lebanon,li liechtenstein,lk sri lanka,lt lithuania,lu luxembourg,lv latvia,ly libya,ma morocco
mc monaco,md moldova,me montenegro,mg madagascar,mk north macedonia,mm myanmar,mn mongolia
mo macau,mt malta,mu mauritius,mx mexico,my malaysia,mz mozambique,ng nigeria,ni nicaragua
nl netherlands,no norway,np nepal,nz new zealand,om oman,pa panama,pe peru
pg papua new guinea,ph philippines,pk pakistan,pl poland,pr puerto rico,pt portugal,py paraguay
qa qatar,ro romania,rs serbia,ru russia,rw rwanda,sa saudi arabia,sd sudan,se sweden,sg singapore
si slovenia,sk slovakia,sn senegal,so somalia,sv el salvador,sy syria,th thailand,tj tajikistan
tm turkmenistan,tn tunisia,tr turkey,tt trinidad and tobago,tw taiwan,tz tanzania,ua ukraine
ug uganda,us united states,uy uruguay,uz uzbekistan,ve venezuela,vn vietnam,ye yemen
za south africa,zm zambia,zw zimbabwe
"""
for _entry in _TABLE.replace("\n", ",").split(","):
    if _entry:
        COUNTRIES[_entry[:2]] = _entry[3:]
_NAMES = {name: code for code, name in COUNTRIES.items()} | {
    "america": "us",
    "czech republic": "cz",
    "england": "gb",
    "great britain": "gb",
    "holland": "nl",
    "korea": "kr",
    "turkiye": "tr",
    "uae": "ae",
    "uk": "gb",
    "usa": "us",
    "viet nam": "vn",
}
PROTOCOLS = frozenset({"wg", "wireguard", "ovpn", "openvpn", "vpn", "udp", "tcp"})
_PARTS = re.compile(r"[a-z0-9]+")
_NUMBERED = re.compile(r"([a-z]{2})\d+")


def tokens(name: str) -> list[str]:
    """The parts of a name, in lower case."""
    return _PARTS.findall(name.lower())


@lru_cache(maxsize=8192)
def country_of(name: str) -> str | None:
    """The code of the country that a server's name begins with; None where it says none."""
    parts = [part for part in tokens(name) if part not in PROTOCOLS]
    if not parts:
        return None
    for size in (4, 3, 2, 1):  # "united arab emirates" before "united"
        found = _NAMES.get(" ".join(parts[:size]))
        if found is not None and len(parts) >= size:
            return found
    numbered = _NUMBERED.fullmatch(parts[0])
    code = numbered[1] if numbered else parts[0]
    if code == "uk":
        return "gb"
    if code in COUNTRIES:
        return code
    # some put the provider's own name first
    return parts[1] if len(parts) > 1 and parts[1] in COUNTRIES and len(parts[0]) > 3 else None


def words_for(word: str) -> str | None:
    """The code of the country that a word is the code or the name of."""
    plain = " ".join(tokens(word))
    return _NAMES.get(plain) or (plain if plain in COUNTRIES else None)
