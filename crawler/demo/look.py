"""How the shop looks. Inline in every page, so that a page is one answer, as heavy as a real one."""

CSS = """
:root{--paper:#fbf7ef;--ink:#2b2620;--soft:#766c5f;--line:#e6dccb;--lamp:#b4531f;--card:#fff}
@media (prefers-color-scheme:dark){
:root{--paper:#1b1815;--ink:#efe6d8;--soft:#a89c8b;--line:#3a332b;--lamp:#f0a262;--card:#25211c}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:0 1.5rem 3rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 Georgia,"Iowan Old Style",serif}
a{color:var(--lamp);text-decoration:none}a:hover{text-decoration:underline}
header{display:flex;justify-content:space-between;align-items:baseline;padding:1.75rem 0 .75rem;gap:1rem;flex-wrap:wrap}
header nav{display:flex;gap:1.25rem}.name{font-size:1.6rem;color:var(--ink);letter-spacing:.02em}
.categories{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding:.75rem 0;border:solid var(--line);border-width:1px 0}
h1{font-weight:400;font-size:2.1rem;line-height:1.2;margin:1.75rem 0 .5rem}h2{font-weight:400;margin-top:2.5rem}
.lead,small,footer,.author,.trail{color:var(--soft)}
.tiles,.shelf{list-style:none;padding:0;display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.tiles li,.book{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem}
.book{display:flex;gap:.9rem}.book p,.book h3{margin:0;font-size:.92rem}.book h3{font-size:1rem;font-weight:400}
.cover{flex:none;width:4.5rem;height:6.5rem;padding:.4rem;overflow:hidden;border-radius:2px;
font-size:.62rem;line-height:1.25;color:#fff;box-shadow:0 2px 6px #0003;
background:linear-gradient(100deg,hsl(var(--hue) 40% 28%) 7%,hsl(var(--hue) 45% 38%) 9%,hsl(var(--hue) 40% 48%))}
.price{font-weight:700}.rating{color:var(--lamp)}.rating.none,.stock{color:var(--soft)}.sold-out{font-style:italic}
.pages{display:flex;gap:.4rem;margin:2rem 0}
.pages a{padding:.2rem .7rem;border:1px solid var(--line);border-radius:.3rem}
.pages [aria-current]{background:var(--lamp);color:var(--paper)}
.detail{display:flex;gap:2.5rem;margin-top:2rem;flex-wrap:wrap}.detail>div:last-child{flex:1;min-width:16rem}
.detail .cover{width:13rem;height:19rem;padding:1.2rem;font-size:1.5rem}.detail h1{margin-top:0}
.detail .price{font-size:1.4rem;margin-bottom:0}
table{border-collapse:collapse}th,td{text-align:left;padding:.3rem 1.5rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:400;color:var(--soft)}footer{margin-top:3rem;border-top:1px solid var(--line);font-size:.9rem}
"""
